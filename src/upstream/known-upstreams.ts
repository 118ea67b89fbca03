/** Registries that need no URL in the configuration, and where their token servers are when not on the same host. */

export interface KnownUpstream {
  url: URL
  authHosts: string[]
}

const known: Record<string, { host: string; authHosts?: string[] }> = {
  'docker.io': { host: 'registry-1.docker.io', authHosts: ['auth.docker.io'] },
  'quay.io': { host: 'quay.io' },
  'ghcr.io': { host: 'ghcr.io' },
  'registry.k8s.io': { host: 'registry.k8s.io' },
  'gcr.io': { host: 'gcr.io' },
  'public.ecr.aws': { host: 'public.ecr.aws' },
  'mcr.microsoft.com': { host: 'mcr.microsoft.com' },
  'nvcr.io': { host: 'nvcr.io' },
  'registry.gitlab.com': { host: 'registry.gitlab.com', authHosts: ['gitlab.com'] },
  'docker.elastic.co': { host: 'docker.elastic.co', authHosts: ['docker-auth.elastic.co'] },
  'registry.access.redhat.com': { host: 'registry.access.redhat.com' },
  'registry.fedoraproject.org': { host: 'registry.fedoraproject.org' },
}

export const knownUpstreamNames: readonly string[] = Object.keys(known)

export function findKnownUpstream(name: string): KnownUpstream | undefined {
  if (!Object.hasOwn(known, name)) return undefined
  const { host = '', authHosts = [] } = known[name] ?? {}
  return { url: new URL(`https://${host}`), authHosts }
}
