/** What docker, containerd and podman have to be told so that they pull through this node, from the node's settings. */
import { hostname } from 'node:os'
import { formatAddress, isLoopback, localAddress } from './settings/kinds.ts'
import { type Settings, speaksTls } from './settings/settings.ts'

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

/** How the node is reached, and what its certificate is trusted by: PEM where the authority is its own. */
interface Door {
  scheme: 'http' | 'https'
  /** HOST:PORT from this host. */
  address: string
  /** All that clients of this host, and of others where these are served, write before a repository's name. */
  names: string[]
  authority: string | undefined
}

/** `authority` is that of `--tls self`. */
export function clientConfig(
  client: ClientName,
  settings: Settings,
  { authority }: { authority?: string | undefined } = {},
): ClientConfig {
  const { http, upstream } = settings
  const address = formatAddress(localAddress(http))
  const isLocal = isLoopback(localAddress(http).host)
  const names = [
    ...(isLocal ? [`localhost:${http.port}`] : []),
    address,
    ...(isLoopback(http.host) ? [] : [`${hostname()}:${http.port}`]),
  ]
  const scheme = speaksTls(settings) ? 'https' : 'http'
  const door: Door = { scheme, address, names: [...new Set(names)], authority }
  const trust = scheme === 'https' ? trustOf(client, door) : { files: [], notes: [] }
  if (upstream.length === 0) return trust
  const mirror =
    client === 'docker'
      ? dockerConfig(door, upstream)
      : client === 'containerd'
        ? containerdConfig(door, upstream)
        : podmanConfig(door, upstream)
  return { files: [...mirror.files, ...trust.files], notes: [...mirror.notes, ...trust.notes] }
}

/** Where each client looks for the authority of one registry, and trusts it for that registry alone. */
const certificateFolders: Record<ClientName, string> = {
  docker: '/etc/docker/certs.d',
  containerd: '/etc/containerd/certs.d',
  podman: '/etc/containers/certs.d',
}

function authorityPath(client: ClientName, name: string): string {
  return `${certificateFolders[client]}/${name}/ca.crt`
}

function trustOf(client: ClientName, { names, authority }: Door): ClientConfig {
  const elsewhere =
    client === 'docker'
      ? 'docker reads it at the next pull; on another host the folder is called as that host calls this one, with the port.'
      : 'They are read at the next pull; on another host the folder is called as that host calls this one, with the port.'
  if (authority === undefined) {
    const paths = names.map((name) => authorityPath(client, name)).join(', ')
    return {
      files: [],
      notes: [
        `Where the host does not trust the authority of the node's certificate anyway, its certificate (PEM) goes to ${paths}`,
        elsewhere,
      ],
    }
  }
  const files = names.flatMap((name): ClientFile[] => {
    const path = authorityPath(client, name)
    const own = { path, content: authority }
    if (client !== 'containerd') return [own]
    const lines = [`server = "https://${name}"`, '', `[host."https://${name}"]`, `  ca = "${path}"`, '']
    return [{ path: `${certificateFolders.containerd}/${name}/hosts.toml`, content: lines.join('\n') }, own]
  })
  return { files, notes: [elsewhere] }
}

function dockerConfig(door: Door, upstreams: Settings['upstream']): ClientConfig {
  const { scheme, address } = door
  const names = upstreams.map(({ name }) => name)
  const settings = { 'registry-mirrors': [`${scheme}://${address}`] }
  const others = names.filter((name) => name !== 'docker.io')
  const notes = [
    'Which of the two: docker info --format "{{.DriverStatus}}" names io.containerd.snapshotter.v1 where the engine has the containerd image store, as fresh installations of docker 29 have. An engine that was upgraded has its old store, and does not.',
    'With the containerd image store: the hosts.toml files, which are read at the next pull and serve all of these registries. daemon.json is not needed.',
    'With the older store: daemon.json. Merge it into the file if there is one, then: systemctl reload docker',
  ]
  if (names[0] !== 'docker.io') {
    notes.push(
      'With the older store docker asks mirrors for images of Docker Hub only: make docker.io the first upstream of this node.',
    )
  }
  if (others.length > 0) {
    notes.push(
      `With the older store images of ${others.join(', ')} are pulled by prefix: docker pull ${address}/${others[0]}/NAME:TAG`,
    )
  }
  const daemon = { path: '/etc/docker/daemon.json', content: `${JSON.stringify(settings, null, 2)}\n` }
  return { files: [...hostsFiles('docker', door, upstreams), daemon], notes }
}

/** As containerd reads them, and docker with its image store. */
function hostsFiles(
  client: 'docker' | 'containerd',
  { scheme, address, authority }: Door,
  upstreams: Settings['upstream'],
): ClientFile[] {
  return upstreams.map(({ name, url }) => ({
    path: `${certificateFolders[client]}/${name}/hosts.toml`,
    content: [
      `server = ${JSON.stringify(url.origin)}`,
      '',
      `[host."${scheme}://${address}"]`,
      '  capabilities = ["pull", "resolve"]',
      ...(authority === undefined ? [] : [`  ca = "${authorityPath(client, address)}"`]),
      '',
    ].join('\n'),
  }))
}

function containerdConfig(door: Door, upstreams: Settings['upstream']): ClientConfig {
  return {
    files: hostsFiles('containerd', door, upstreams),
    notes: [
      'containerd reads these files without a restart once its configuration names their folder:',
      '  version 2 (containerd 1.x):  [plugins."io.containerd.grpc.v1.cri".registry]   config_path = "/etc/containerd/certs.d"',
      '  version 3 (containerd 2.x):  [plugins."io.containerd.cri.v1.images".registry] config_path = "/etc/containerd/certs.d"',
      'ctr takes the folder as a flag: ctr images pull --hosts-dir /etc/containerd/certs.d NAME',
    ],
  }
}

function podmanConfig({ scheme, address }: Door, upstreams: Settings['upstream']): ClientConfig {
  const tables = upstreams.map(({ name }) =>
    [
      '[[registry]]',
      `prefix = ${JSON.stringify(name)}`,
      `location = ${JSON.stringify(name)}`,
      '',
      '[[registry.mirror]]',
      `location = ${JSON.stringify(`${address}/${name}`)}`,
      ...(scheme === 'https' ? [] : ['insecure = true']),
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
