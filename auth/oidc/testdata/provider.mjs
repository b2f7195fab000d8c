// An OpenID provider to sign in with: oidc-provider, which is certified, with
// accounts in memory and a login form. For tests of Go and of the browser.
//
//   node provider.mjs --modules web/node_modules --client-id ID --redirect URL [...]
//
//   --modules DIR       where oidc-provider is installed (`npm ci` in web/)
//   --client-id ID      the one client
//   --client-secret S   its secret; without it the client is a public one
//   --redirect URL      its redirect URL; may be given several times
//   --port N            of the provider, on 127.0.0.1; 0, the default: any
//   --control-port N    of the control endpoint, on 127.0.0.1; 0, the default: any
//   --state FILE        keeps grants and tokens there, so that they outlive a
//                       restart; sessions of browsers and signing keys do not
//   --groups-in-token   puts name, email and groups into the id token too;
//                       without it they are in userinfo alone
//   --strict-offline    gives a refresh token only where the client asks for
//                       offline_access with prompt=consent, as the standard has
//                       it; without it every sign-in gets one
//
// When it is ready it prints one line to stdout and nothing more:
//   {"issuer":"http://127.0.0.1:PORT","control":"http://127.0.0.1:PORT"}
// It exits when its stdin closes, and makes new signing keys at each start.
//
// The login form has the fields `login` and `password` and one submit button;
// a wrong password shows it again, with a text in the element with id `error`.
// Consent is given without a page. `<a id="cancel">` refuses: access_denied.
//
// Accounts, each with the password NAME-password:
//   anna    groups team-shop               boris  groups team-shop, team-search
//   carla   email_verified false           dora   no groups
//
// The control endpoint:
//   GET /accounts/NAME  the account
//   PUT /accounts/NAME  a JSON object of what changes, such as
//                       {"disabled":true} or {"groups":["team-search"]}; an
//                       unknown NAME is made. A disabled account cannot sign in,
//                       and its refresh tokens answer invalid_grant.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    modules: { type: 'string' },
    'client-id': { type: 'string' },
    'client-secret': { type: 'string' },
    redirect: { type: 'string', multiple: true },
    port: { type: 'string', default: '0' },
    'control-port': { type: 'string', default: '0' },
    state: { type: 'string' },
    'groups-in-token': { type: 'boolean', default: false },
    'strict-offline': { type: 'boolean', default: false },
  },
});
for (const name of ['modules', 'client-id', 'redirect']) {
  if (!options[name]) {
    console.error(`--${name} is missing`);
    process.exit(2);
  }
}

process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
console.warn = () => {}; // what oidc-provider says of memory adapters and of this Node.js
console.info = () => {};

// Node.js 20 does not have it, and oidc-provider calls it.
URL.parse ??= (text, base) => {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
};

const require = createRequire(resolve(options.modules, 'x.js'));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const account = (name, groups, more) => [
  name,
  { password: `${name}-password`, email: `${name}@example.com`, email_verified: true, groups, disabled: false, ...more },
];
const accounts = new Map([
  account('anna', ['team-shop']),
  account('boris', ['team-shop', 'team-search']),
  account('carla', ['team-shop'], { email_verified: false }),
  account('dora', undefined),
]);

// store holds what the provider keeps, by model and id.
const store = new Map(options.state && existsSync(options.state) ? JSON.parse(readFileSync(options.state, 'utf8')) : []);

function save() {
  if (!options.state) return;
  writeFileSync(`${options.state}.new`, JSON.stringify([...store]));
  renameSync(`${options.state}.new`, options.state);
}

class Adapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    store.set(this.key(id), { payload, expires: expiresIn ? Date.now() + expiresIn * 1000 : null });
    save();
  }

  async find(id) {
    const entry = store.get(this.key(id));
    return entry && (entry.expires === null || entry.expires > Date.now()) ? entry.payload : undefined;
  }

  async findBy(property, value) {
    for (const [key, { payload }] of store) {
      if (key.startsWith(`${this.model}:`) && payload[property] === value) return payload;
    }
    return undefined;
  }

  findByUid(uid) {
    return this.findBy('uid', uid);
  }

  findByUserCode(code) {
    return this.findBy('userCode', code);
  }

  async consume(id) {
    const entry = store.get(this.key(id));
    if (entry) entry.payload.consumed = Math.floor(Date.now() / 1000);
    save();
  }

  async destroy(id) {
    store.delete(this.key(id));
    save();
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of store) {
      if (payload.grantId === grantId) store.delete(key);
    }
    save();
  }
}

const configuration = {
  adapter: Adapter,
  clients: [{
    client_id: options['client-id'],
    ...(options['client-secret'] ? { client_secret: options['client-secret'] } : { token_endpoint_auth_method: 'none' }),
    redirect_uris: options.redirect,
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
  }],
  claims: {
    openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'], groups: ['groups'],
  },
  scopes: ['openid', 'offline_access'],
  conformIdTokenClaims: !options['groups-in-token'],
  clientBasedCORS: () => false,
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
  jwks: {
    keys: [{
      ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
      use: 'sig',
      alg: 'RS256',
      kid: randomBytes(8).toString('hex'),
    }],
  },
  pkce: { required: () => true },
  responseTypes: ['code'],
  rotateRefreshToken: true,
  expiresWithSession: () => false,
  ttl: {
    AccessToken: 60, AuthorizationCode: 60, Grant: 86400, IdToken: 60, Interaction: 600, RefreshToken: 86400, Session: 86400,
  },
  async findAccount(_ctx, id) {
    const found = accounts.get(id);
    if (!found || found.disabled) return undefined;
    return {
      accountId: id,
      claims: async () => ({
        sub: id, preferred_username: id, email: found.email, email_verified: found.email_verified, groups: found.groups,
      }),
    };
  },
  async renderError(ctx, out) {
    page(ctx.res, ctx.status, `<p id="error">${escape(out.error)}: ${escape(out.error_description ?? '')}</p>`);
    ctx.respond = false;
  },
};
if (!options['strict-offline']) configuration.issueRefreshToken = async () => true;

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function page(res, status, body) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  res.end(`<!doctype html><html lang="en"><title>Sign in</title><body>${body}</body></html>`);
}

const form = (uid, error) => `${error ? `<p id="error">${escape(error)}</p>` : ''}
<form method="post" action="/interaction/${escape(uid)}">
<label>Name <input name="login" autocomplete="username" autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button type="submit">Sign in</button>
</form>
<a id="cancel" href="/interaction/${escape(uid)}/cancel">Cancel</a>`;

async function read(req) {
  let text = '';
  for await (const chunk of req) {
    text += chunk;
    if (text.length > 65536) throw new Error('the body is too long');
  }
  return text;
}

async function consent(provider, { prompt: { details }, grantId, session, params }) {
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '));
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims);
  return { consent: { grantId: await grant.save() } };
}

async function interact(provider, req, res, cancel) {
  const details = await provider.interactionDetails(req, res);
  if (cancel) {
    return provider.interactionFinished(req, res, { error: 'access_denied' }, { mergeWithLastSubmission: false });
  }
  if (details.prompt.name === 'consent') {
    return provider.interactionFinished(req, res, await consent(provider, details), { mergeWithLastSubmission: true });
  }
  if (req.method !== 'POST') return page(res, 200, form(details.uid));
  const sent = new URLSearchParams(await read(req));
  const name = sent.get('login') ?? '';
  const found = accounts.get(name);
  if (!found || found.disabled || found.password !== sent.get('password')) {
    return page(res, 200, form(details.uid, 'Wrong name or password'));
  }
  return provider.interactionFinished(req, res, { login: { accountId: name } }, { mergeWithLastSubmission: false });
}

async function control(req, res) {
  const name = decodeURIComponent(new URL(req.url, 'http://x').pathname.replace(/^\/accounts\//, ''));
  let found = accounts.get(name);
  if (req.method === 'PUT') {
    found = { ...(found ?? account(name, [])[1]), ...JSON.parse(await read(req)) };
    accounts.set(name, found);
  }
  res.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
  res.end(JSON.stringify(found ?? {}));
}

// guarded keeps a request that fails from ending the program.
const guarded = (handle) => async (req, res) => {
  try {
    await handle(req, res);
  } catch (err) {
    if (!res.headersSent) page(res, err.statusCode ?? 500, `<p id="error">${escape(err.message)}</p>`);
  }
};

function listen(server, port) {
  return new Promise((done, failed) => {
    server.once('error', failed).listen(Number(port), '127.0.0.1', () => done(`http://127.0.0.1:${server.address().port}`));
  });
}

let handle;
const issuer = await listen(createServer(guarded((req, res) => handle(req, res))), options.port);
const provider = new Provider(issuer, configuration);
const callback = provider.callback();
handle = (req, res) => {
  const interaction = /^\/interaction\/[^/?]+(\/cancel)?$/.exec(req.url);
  return interaction ? interact(provider, req, res, interaction[1]) : callback(req, res);
};
const controlURL = await listen(createServer(guarded(control)), options['control-port']);
console.log(JSON.stringify({ issuer, control: controlURL }));
