export const maxRecent = 50;
const maxLength = 10_000;

function keyOf(project: string, environment: string): string {
  return `promgate.explore.recent.${project}/${environment}`;
}

/** The queries that ran lately, the last one first. They stay in this browser; results never do. */
export function loadRecent(project: string, environment: string, storage: Storage | undefined = browserStorage()): string[] {
  try {
    const stored: unknown = JSON.parse(storage?.getItem(keyOf(project, environment)) ?? '[]');
    return Array.isArray(stored) ? stored.filter((expr): expr is string => typeof expr === 'string').slice(0, maxRecent) : [];
  } catch {
    return [];
  }
}

export function addRecent(project: string, environment: string, exprs: string[], storage: Storage | undefined = browserStorage()): void {
  const before = loadRecent(project, environment, storage);
  const added = exprs.map((expr) => expr.trim()).filter((expr) => expr !== '' && expr.length <= maxLength);
  const after = [...new Set([...added, ...before])].slice(0, maxRecent);
  if (JSON.stringify(after) !== JSON.stringify(before)) store(storage, keyOf(project, environment), JSON.stringify(after));
}

export function clearRecent(project: string, environment: string, storage: Storage | undefined = browserStorage()): void {
  try {
    storage?.removeItem(keyOf(project, environment));
  } catch {
    // A browser without storage has nothing to forget.
  }
}

function store(storage: Storage | undefined, key: string, value: string): void {
  try {
    storage?.setItem(key, value);
  } catch {
    // Storage is full or off: then there are no recent queries.
  }
}

/** Merely naming the storage throws where the browser forbids it. */
function browserStorage(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}
