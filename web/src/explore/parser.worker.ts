import { runJob, type Job, type Reply } from './jobs';

/** Answers can have tens of megabytes: they are parsed here, so that the page stays alive. */
self.onmessage = async ({ data }: MessageEvent<{ id: number; job: Job }>) => {
  const reply: Reply = await runJob(data.job);
  const transfer = 'range' in reply ? [reply.range.values.buffer] : [];
  self.postMessage({ id: data.id, reply }, { transfer });
};
