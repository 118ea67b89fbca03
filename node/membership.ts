/** Which node this is and which cluster it belongs to: read from the data directory, made or joined on the first start. */
import type { Logger } from '../src/base/base.ts'
import { type Cluster, findCluster, joinCluster, startCluster } from '../src/swarm/cluster/cluster.ts'
import { type NodeIdentity, openIdentity } from '../src/swarm/cluster/identity.ts'
import { openSecrets, type RotatingSecrets } from '../src/swarm/cluster/secrets.ts'
import type { Settings } from './settings/settings.ts'

export interface Membership {
  readonly identity: NodeIdentity
  /** As it was when the node started; `secrets` has what a rotation changed since. */
  readonly cluster: Cluster
  readonly secrets: RotatingSecrets
}

export interface MembershipOptions {
  settings: Settings
  /** Whether the data directory holds nothing that was published, and knows of no other member. */
  isUnused(): Promise<boolean>
  logger: Logger
}

export async function openMembership(
  directory: string,
  { settings: { join }, isUnused, logger }: MembershipOptions,
): Promise<Membership> {
  const onRetired = (): void => logger.warn({}, retiredToken)
  const identity = await openIdentity(directory)
  const known =
    join === undefined
      ? await findCluster(directory)
      : await joinCluster(directory, join, { isUnused, onRetired })
  const cluster = known ?? (await startCluster(directory))
  const secrets = await openSecrets(directory)
  return { identity, cluster, secrets }
}

const retiredToken =
  'the join token was retired by shoal token rotate and is not used; replace it in --join, SHOAL_JOIN or the config file by what shoal token prints, or remove it'
