/** `shoal client-config`: the exact configuration of a client that pulls through this node. */
import { callRunningNode } from '../admin/client.ts'
import { type ClientConfig, type ClientName, clientConfig, clients } from '../client-config.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { print, printJson } from '../screen/output.ts'
import { type Settings, UsageError } from '../settings/settings.ts'
import { authorityOf } from '../tls/own-authority.ts'

export const command = defineCommand({
  usage: ['client-config docker|containerd|podman [--json]'],
  about: `
Prints what to write into which file so that the client's pulls of the mirrored registries go through this node, and
to the registries themselves when it does not answer, and so that the client trusts the node's TLS: as the node that
runs on the data directory is set, or, where upstreams or TLS are named here, as a node with these settings would be.

podman stands for buildah, skopeo and CRI-O too. Without any of this, every client pulls by prefix:
  docker pull localhost:5000/docker.io/library/alpine:3.20`,
  flags: { json },
  settings: ['data', 'http', 'upstream', 'tls'],
  actions: [...clients],
  maxWords: 1,
  examples: [
    ['client-config docker', 'what to write into daemon.json'],
    ['client-config containerd --upstream docker.io', 'for a node that is yet to be started'],
  ],
  async run({ settings, words: [given], flags }) {
    const client = clients.find((name) => name === given)
    if (client === undefined) {
      throw new UsageError(
        `client-config needs one of ${clients.join(', ')}${given === undefined ? '' : `; "${given}" is none`}`,
      )
    }
    const config = await findConfig(settings, client)
    if (flags.json) printJson({ client, ...config })
    else print(format(config))
    return 0
  },
})

/** From what is named here, or else as the running node has them. */
async function findConfig(settings: Settings, client: ClientName): Promise<ClientConfig> {
  const configured = async () => clientConfig(client, settings, await authorityOf(settings))
  if (settings.upstream.length > 0 || settings.tls !== undefined) return await configured()
  const answer = await callRunningNode(settings.data, 'client-config', { client }, () => undefined)
  const config = answer === undefined ? await configured() : (answer.result as ClientConfig)
  if (config.files.length + config.notes.length > 0) return config
  throw new UsageError(
    'neither an upstream nor TLS is configured; name those of the node, such as --upstream docker.io',
  )
}

/** The notes as comments behind the files. */
function format({ files, notes }: ClientConfig): string {
  const parts = files.map(({ path, content }) => `# ${path}\n${content}\n`)
  return `${parts.join('')}${notes.map((note) => `# ${note}\n`).join('')}`
}
