/** `shoal upstreams`: the registries outside the cluster that this node mirrors. */
import type { UpstreamStatus } from '../../src/upstream/upstream.ts'
import type { Command } from '../cli.ts'
import { formatBytes, formatTable, formatTime, print, printJson } from '../output.ts'
import { perform } from '../perform.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'

export const command: Command = {
  help: `shoal upstreams [--json]

Lists the registries that the running node mirrors (see --upstream of shoal serve): whether each answers, what went
wrong last, until when it asked to be left alone, how many requests its rate limit leaves, and what was asked and got.
SHARED says whether what it gives is served to every client.

  --json                  print one JSON array
${settingsHelp(['data'])}
`,
  async run(args) {
    const { settings, rest, extra } = readSettings(args, process.env, { json: { type: 'boolean' } })
    if (rest.length > 0) throw new UsageError(`upstreams takes nothing; "${rest[0]}" is one word too many`)
    const upstreams = await perform(settings, 'upstreams', {})
    if (extra.json === true) printJson(upstreams)
    else if (upstreams.length === 0)
      print('No upstream is configured. Mirror one with: shoal serve --upstream docker.io\n')
    else print(formatTable([head, ...upstreams.map(cells)]))
    return 0
  },
}

const head = ['UPSTREAM', 'URL', 'STATE', 'LEFT', 'MANIFESTS', 'BLOBS', 'RECEIVED', 'SHARED', 'LAST ERROR']

function cells(status: UpstreamStatus): string[] {
  const { name, url, limit, remaining, manifestRequests, blobRequests, receivedBytes, isShared, lastError } =
    status
  return [
    name,
    url,
    stateOf(status),
    remaining === undefined ? '-' : `${remaining}${limit === undefined ? '' : ` of ${limit}`}`,
    String(manifestRequests),
    String(blobRequests),
    formatBytes(receivedBytes),
    isShared ? 'yes' : 'no',
    lastError ?? '-',
  ]
}

function stateOf({ reachable, pausedUntilMs }: UpstreamStatus): string {
  if (pausedUntilMs !== undefined) return `paused until ${formatTime(pausedUntilMs)}`
  if (reachable === undefined) return 'not asked yet'
  return reachable ? 'answers' : 'away'
}
