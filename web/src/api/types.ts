// What the gateway's own API answers. docs/openapi.yaml describes the same.

/** Who is signed in, and how one can sign in. */
export interface Session {
  /** null: nobody is signed in. */
  user: User | null;
  /** The ways to sign in that this deployment offers. */
  methods: SignInMethod[];
  /** When the session ends at the latest; absent while nobody is signed in. */
  expiresAt?: string;
  /** The gateway's version. */
  version: string;
  /** Where Perses' API stands, relative to the gateway; absent: this deployment has no dashboards. */
  dashboards?: { path: string };
}

export interface User {
  kind: 'local' | 'oidc' | 'kubernetes';
  name: string;
  groups: string[];
}

export interface SignInMethod {
  kind: 'local' | 'oidc' | 'kubernetes';
  /** How the deployment calls it, such as "Company account"; only for oidc. */
  name?: string;
  /** Whom a token has to be made for; only for kubernetes, and absent where that is the API server itself. */
  audience?: string;
}

export interface Project {
  name: string;
  /** How many of its environments the caller may query. */
  environments: number;
}

export type Role = 'viewer' | 'maintainer';

/** One project, asked for alone. */
export interface ProjectDetail extends Project {
  role: Role;
}

export interface Environment {
  project: string;
  name: string;
  /** Base URL for clients of Prometheus' API, absolute. */
  url: string;
  /** The endpoints that are off unless somebody switched them on, and are on. */
  allow: ('federate' | 'remoteRead')[];
  target: {
    kind: 'service' | 'url';
    /** Where it is, in words; for maintainers alone. */
    description?: string;
  };
  /** Whether questions go to one ready pod for as long as it answers. */
  replicas: 'any' | 'pin';
  /** The labels that every answer is narrowed to, with their values. */
  enforced: Record<string, string[]>;
  limits: Limits;
  health: Health;
}

/** Sizes in bytes, times in seconds. */
export interface Limits {
  maxQueryLength: number;
  maxRangeSeconds: number;
  maxLookbackSeconds: number;
  maxPoints: number;
  maxEvaluations: number;
  maxResponseBytes: number;
  maxConcurrent: number;
  requestsPerSecond: number;
  burst: number;
}

export interface Health {
  /**
   * checking: nobody knows yet, ask again in a second. unknown: the gateway may not ask by itself, since the
   * environment is queried with each caller's own credentials.
   */
  status: 'up' | 'down' | 'checking' | 'unknown';
  /** What answers, such as "Prometheus 3.15.0", or why it does not. */
  message?: string;
  checkedAt?: string;
}

/** One environment, asked for alone. */
export interface EnvironmentDetail extends Environment {
  role: Role;
  /** Whether endpoint tokens open it at all. */
  endpointTokens: boolean;
}

/** A page of a list: pass next as the parameter "after" to get what follows. */
export interface Paged {
  next?: string;
}
export interface ProjectList extends Paged {
  projects: Project[];
}
export interface EnvironmentList extends Paged {
  environments: Environment[];
}
export interface TokenList extends Paged {
  tokens: Token[];
}

export interface Token {
  id: string;
  description: string;
  project: string;
  /** Absent: every environment of the project. */
  environment?: string;
  state: 'active' | 'rotated' | 'expired' | 'revoked';
  createdAt: string;
  /** Who made it; absent where that is not known. */
  createdBy?: string;
  expiresAt: string;
  revokedAt?: string;
  /** Absent: never used. */
  lastUsedAt?: string;
  /** What used it last, such as "Grafana"; absent where that is not known. */
  lastClient?: string;
  /** The id of its successor. */
  replacedBy?: string;
}

export interface NewToken {
  description: string;
  /** Absent: every environment of the project. */
  environment?: string;
  lifetimeSeconds: number;
}

/** The one answer that shows a token itself. */
export interface TokenSecret {
  token: Token;
  secret: string;
  /** What a rotation has replaced. */
  replaced?: Token;
}

export type HopStatus = 'ok' | 'failed' | 'skipped';

export interface Hop {
  name: string;
  status: HopStatus;
  found: string;
  cause?: string;
  /** YAML for kubectl apply -f -. */
  apply?: string;
}

export interface Diagnosis {
  project: string;
  environment: string;
  target: string;
  hops: Hop[];
}

export interface Provisioning {
  url: string;
  /** The word in the snippets in whose place the token belongs. */
  placeholder: string;
  snippets: Snippet[];
}

export interface Snippet {
  kind: 'grafana' | 'perses' | 'perses-kubernetes' | 'promtool' | 'curl';
  title: string;
  /** Where it belongs and what it does, in a sentence. */
  description: string;
  /** A name for the file; absent: it is a command. */
  file?: string;
  text: string;
}

/** What one project has of dashboards. */
export interface DashboardList {
  project: string;
  dashboards: DashboardSummary[];
  folders: DashboardFolder[];
  /** What is there and cannot be shown, and why. */
  problems: DashboardProblem[];
  /** Whether the gateway knows of changes at once, so that asking often is cheap and worth it. */
  live: boolean;
}

export interface DashboardSummary {
  name: string;
  title: string;
  description?: string;
  tags: string[];
  updatedAt: string;
}

export interface DashboardFolder {
  name: string;
  title: string;
  items: FolderItem[];
}

export type FolderItem = { kind: 'Dashboard'; name: string; missing?: boolean } | { kind: 'Folder'; name: string; items: FolderItem[] };

export interface DashboardProblem {
  /** The kind of the Kubernetes object. */
  kind: string;
  name: string;
  message: string;
}

/** One dashboard, with all that it needs to be shown but the data. */
export interface DashboardDetail {
  dashboard: PersesObject;
  /** Of the kinds Datasource and GlobalDatasource. */
  datasources: PersesObject[];
  hidden: HiddenDatasource[];
  source: {
    cluster: string;
    namespace: string;
    /** A command that shows the object as it was deployed. */
    kubectl: string;
  };
  live: boolean;
}

/** A data source that the caller cannot use. */
export interface HiddenDatasource {
  scope: 'dashboard' | 'project' | 'global';
  name: string;
  /** A sentence. */
  reason: string;
}

/** An object in Perses' own words; whoever wrote its spec may have left out or misspelt anything. */
export interface PersesObject {
  kind: string;
  metadata: { name: string; project?: string; createdAt?: string; updatedAt?: string; version?: number; tags?: string[] };
  spec: Record<string, unknown>;
}

/** Every error of the gateway: the sentence is for the person who reads it. */
export interface ErrorBody {
  status: 'error';
  errorType: string;
  error: string;
}
