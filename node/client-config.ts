/** What docker, containerd and podman have to be told so that they pull through this node, from the node's settings. */
import { formatAddress, localAddress } from './settings/kinds.ts'
import type { Settings } from './settings/settings.ts'

export const clients = ['docker', 'containerd', 'podman'] as const
export type ClientName = (typeof clients)[number]

/** A file, what has to stand in it, and what makes the client see it. */
export interface ClientFile {
  path: string
  content: string
}

export interface ClientConfig {
  files: ClientFile[]
  /** What else there is to know, in sentences. */
  notes: string[]
}

export function clientConfig(client: ClientName, { http, upstream }: Settings): ClientConfig {
  const address = formatAddress(localAddress(http))
  if (upstream.length === 0) return { files: [], notes: [] }
  const names = upstream.map(({ name }) => name)
  if (client === 'docker') return dockerConfig(address, names)
  return client === 'containerd' ? containerdConfig(address, upstream) : podmanConfig(address, names)
}

function dockerConfig(address: string, names: string[]): ClientConfig {
  const settings = { 'registry-mirrors': [`http://${address}`] }
  const others = names.filter((name) => name !== 'docker.io')
  const notes = ['Merge it into the file if there is one, then: systemctl reload docker']
  if (names[0] !== 'docker.io') {
    notes.push(
      'dockerd asks mirrors for images of Docker Hub only: make docker.io the first upstream of this node.',
    )
  }
  if (others.length > 0) {
    notes.push(
      `Images of ${others.join(', ')} are pulled by prefix: docker pull ${address}/${others[0]}/NAME:TAG`,
    )
  }
  return {
    files: [{ path: '/etc/docker/daemon.json', content: `${JSON.stringify(settings, null, 2)}\n` }],
    notes,
  }
}

function containerdConfig(address: string, upstreams: Settings['upstream']): ClientConfig {
  return {
    files: upstreams.map(({ name, url }) => ({
      path: `/etc/containerd/certs.d/${name}/hosts.toml`,
      content: [
        `server = ${JSON.stringify(url.origin)}`,
        '',
        `[host."http://${address}"]`,
        '  capabilities = ["pull", "resolve"]',
        '',
      ].join('\n'),
    })),
    notes: [
      'containerd reads these files without a restart once its configuration names their folder:',
      '  version 2 (containerd 1.x):  [plugins."io.containerd.grpc.v1.cri".registry]   config_path = "/etc/containerd/certs.d"',
      '  version 3 (containerd 2.x):  [plugins."io.containerd.cri.v1.images".registry] config_path = "/etc/containerd/certs.d"',
      'ctr takes the folder as a flag: ctr images pull --hosts-dir /etc/containerd/certs.d NAME',
    ],
  }
}

function podmanConfig(address: string, names: string[]): ClientConfig {
  const tables = names.map((name) =>
    [
      '[[registry]]',
      `prefix = ${JSON.stringify(name)}`,
      `location = ${JSON.stringify(name)}`,
      '',
      '[[registry.mirror]]',
      `location = ${JSON.stringify(`${address}/${name}`)}`,
      'insecure = true',
      '',
    ].join('\n'),
  )
  return {
    files: [{ path: '/etc/containers/registries.conf.d/50-shoal.conf', content: tables.join('\n') }],
    notes: [
      'podman, buildah and skopeo read it at their next start, CRI-O after: systemctl reload crio',
      'The mirror is named with the upstream behind its address, so that one node mirrors all of them.',
    ],
  }
}
