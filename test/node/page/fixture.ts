/** The page of a node without a network, on a real port, and requests to it as browsers and others make them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHttpPort } from '../../../node/http-port.ts'
import { openLastHour } from '../../../node/last-hour.ts'
import { createMetrics } from '../../../node/metrics/metrics.ts'
import type { OperationContext } from '../../../node/operations/operations.ts'
import type { SignedInAnswer } from '../../../node/page/answers/access.ts'
import { openPageDoor } from '../../../node/page-door.ts'
import { quotasOf } from '../../../node/quota-rules.ts'
import { keepFailedPulls } from '../../../node/requests/failed-pulls.ts'
import { countRequests } from '../../../node/requests/request-metrics.ts'
import { createRequestTracer } from '../../../node/requests/request-tracer.ts'
import { openAccess } from '../../../src/access/access.ts'
import { silentLogger, steadyClock } from '../../../src/base/base.ts'
import { BodyWatch, createHttpHandler, Hosts } from '../../../src/http/http.ts'
import type { Debt } from '../../../src/placement/placement.ts'
import { createRegistry } from '../../../src/registry/registry.ts'
import { type OperatedNode, openOperatedNode } from '../operations/fixture.ts'

export interface PageAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: string
  json<T>(): T
}

export interface AskOptions {
  method?: string
  headers?: Record<string, string>
  body?: string
}

export interface ServedPage extends AsyncDisposable {
  readonly operated: OperatedNode
  readonly port: number
  /** Why what the node knows of accounts is too old, if a test says so. */
  outdated: string | undefined
  /** What the node owes copies of, as a test says. */
  short: Debt[]
  /** The members that say they hold whatever is asked for, as a test says. */
  holders: string[] | undefined
  /** As a browser on this host does, with `localhost` for the Host unless another is given. */
  ask(path: string, options?: AskOptions): Promise<PageAnswer>
  /** As the page itself does, with its token. */
  change(path: string, body: unknown, headers?: Record<string, string>): Promise<PageAnswer>
  /** The answer as it begins, for what has no end. */
  open(path: string, headers?: Record<string, string>): Promise<IncomingMessage>
}

export async function servePage(flags: string[] = []): Promise<ServedPage> {
  await using opened = new AsyncDisposableStack()
  const operated = opened.use(await openOperatedNode(flags))
  const { node } = operated
  const { store, names, settings } = node
  const { quotasFor } = opened.use(quotasOf(names))
  const registry = opened.use(
    createRegistry({ store, names, allowDelete: !settings['no-delete'], quotasFor }),
  )
  const directory = await mkdtemp(join(tmpdir(), 'shoal-page-'))
  opened.defer(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'index.html'), '<!doctype html><title>Shoal</title>')
  await writeFile(join(directory, 'app.js'), `// ${'x'.repeat(2000)}`)
  const port = await openHttpPort({ host: '127.0.0.1', port: 0 })
  opened.use(port)
  const allowed = [...settings['allow-host'], ...settings['page-host']]
  const hosts = new Hosts({ names: allowed, logger: silentLogger })
  const bodies = new BodyWatch()
  const contact = { problem: () => served?.outdated }
  let served: ServedPage | undefined
  const access = opened.use(await openAccess({ names, contact }))
  const copies = { short: () => served?.short ?? [] }
  // Nothing but what is short of copies, and who holds something, is asked of them here.
  const member = { exchange: { seeders: async () => (served?.holders ?? []).toSorted() } }
  const context = () => ({
    node,
    registry,
    copies: copies as unknown as NonNullable<OperationContext['copies']>,
    ...(served?.holders === undefined
      ? {}
      : { member: member as unknown as NonNullable<OperationContext['member']> }),
  })
  const failedPulls = keepFailedPulls()
  const metrics = createMetrics()
  const lastHour = opened.use(
    openLastHour({
      metrics,
      failed: () => failedPulls.total(),
      clock: steadyClock,
      logger: silentLogger,
    }),
  )
  const door = opened.use(
    openPageDoor({
      node,
      registry,
      access,
      hosts,
      bodies,
      http: port.address,
      context,
      member: () => undefined,
      lastHour,
      failedPulls,
      condition: { get: async () => ({ problems: [], disk: { free: 1, total: 2 } }) },
      logger: silentLogger,
      directory,
    }),
  )
  const tracer = createRequestTracer([failedPulls.listener, countRequests(metrics)], silentLogger)
  port.serve(createHttpHandler({ registry, access, hosts, bodies, tracer, besides: door.middleware }))
  const number = Number(port.address.split(':').at(-1))

  const begin = (path: string, { method = 'GET', headers = {}, body }: AskOptions) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const all = { Host: `localhost:${number}`, ...headers }
      const outgoing = request(
        { host: '127.0.0.1', port: number, path, method, headers: all, agent: false },
        resolve,
      )
      outgoing.once('error', reject).end(body)
    })
  const ask = async (path: string, options: AskOptions = {}): Promise<PageAnswer> => {
    const incoming = await begin(path, options)
    let text = ''
    for await (const chunk of incoming.setEncoding('utf8')) text += chunk
    return {
      status: incoming.statusCode ?? 0,
      headers: incoming.headers,
      body: text,
      json: () => JSON.parse(text),
    }
  }
  const resources = opened.move()
  served = {
    operated,
    port: number,
    outdated: undefined,
    short: [],
    holders: undefined,
    ask,
    open: (path, headers = {}) => begin(path, { headers }),
    async change(path, body, headers = {}) {
      const { token } = (await ask('/api/token')).json<{ token: string }>()
      const all = { 'Content-Type': 'application/json', 'X-Shoal-Token': token, ...headers }
      return await ask(path, { method: 'POST', headers: all, body: JSON.stringify(body) })
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
  return served
}

export interface SignedIn {
  answer: PageAnswer
  cookie: string
  /** As the page sends with every request. */
  headers: Record<string, string>
}

/** Throws where the page does not let the account in. */
export async function signInto(
  page: ServedPage,
  account: { name: string; password: string },
  more: Record<string, string> = {},
): Promise<SignedIn> {
  const answer = await page.change('/api/sign-in', account, more)
  if (answer.status !== 200) throw new Error(`${account.name} was refused: ${answer.body}`)
  const [cookie = ''] = answer.headers['set-cookie'] ?? []
  const [pair = ''] = cookie.split(';')
  return { answer, cookie, headers: { Cookie: pair, 'X-Shoal-Session': answer.json<SignedInAnswer>().seal } }
}

/** The stable word of a refusal. */
export function codeOf(answer: PageAnswer): string {
  return answer.json<{ error: { code: string; message: string } }>().error.code
}
