import { ApiError } from '../api/client';
import { runJob, type Job, type Reply } from './jobs';

type Success = Exclude<Reply, { failure: string }>;

let worker: Worker | undefined;
let broken = false;
let lastId = 0;
const waiting = new Map<number, { job: Job; resolve: (reply: Reply) => void }>();

/** Does the job in the worker, or right here where the browser starts none. */
export async function parse(job: Job): Promise<Success> {
  const reply = await dispatch(job);
  if ('failure' in reply) throw new ApiError(0, 'answer', reply.failure);
  return reply;
}

function dispatch(job: Job): Promise<Reply> {
  const running = broken ? undefined : start();
  if (!running) return runJob(job);
  return new Promise((resolve) => {
    const id = ++lastId;
    waiting.set(id, { job, resolve });
    running.postMessage({ id, job });
  });
}

function start(): Worker | undefined {
  if (worker) return worker;
  try {
    worker = new Worker(new URL('./parser.worker.ts', import.meta.url), { type: 'module' });
  } catch {
    broken = true;
    return undefined;
  }
  worker.onmessage = ({ data }: MessageEvent<{ id: number; reply: Reply }>) => {
    waiting.get(data.id)?.resolve(data.reply);
    waiting.delete(data.id);
  };
  worker.onerror = giveUp;
  return worker;
}

/** Once the worker fails, everything it owes is done on the page. */
function giveUp() {
  broken = true;
  worker?.terminate();
  worker = undefined;
  for (const { job, resolve } of waiting.values()) void runJob(job).then(resolve);
  waiting.clear();
}
