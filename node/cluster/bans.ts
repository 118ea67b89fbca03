/** Bans as a member lives with them: how it tells and learns of them, and what it says when it is banned itself. */
import type { Logger } from '../../src/base/base.ts'
import { type Ledger, readRecordAuthor, readRecordKey, readRecordTimeMs } from '../../src/records/records.ts'
import type { PolicyExchange } from '../../src/swarm/swarm.ts'
import { MalformedError } from '../../src/wire/wire.ts'
import { formatTime } from '../screen/output.ts'

/** In words. */
export interface Ban {
  found: string
  remedy: string
}

export interface OwnBan extends Disposable {
  /** `undefined` while this node is not banned. */
  standing(): Ban | undefined
}

/** The policy's record, shown and taken over without the rest of the protocols. */
export function policyExchange(names: Pick<Ledger, 'findRecord' | 'apply'>): PolicyExchange {
  return {
    show: () => names.findRecord({ kind: 'policy' }) ?? new Uint8Array(0),
    async look(record) {
      if (readRecordKey(record).kind !== 'policy') throw new MalformedError('another record than a policy')
      const { blame } = await names.apply([record])
      if (blame !== undefined) throw new MalformedError(`a policy that is ${blame}`)
    },
  }
}

export function watchOwnBan(
  names: Pick<Ledger, 'findRecord' | 'isBanned' | 'onChange'>,
  self: string,
  logger: Logger,
): OwnBan {
  let ban: Ban | undefined
  const look = (): void => {
    const isBanned = names.isBanned(self)
    if (isBanned && ban === undefined) {
      ban = banOf(self, names.findRecord({ kind: 'policy' }))
      logger.warn({ peer: self }, `${ban.found}; ${ban.remedy}; it tries again every five minutes`)
    }
    if (!isBanned && ban !== undefined) {
      ban = undefined
      logger.info({ peer: self }, 'this node is no longer banned')
    }
  }
  look()
  return {
    standing: () => ban,
    [Symbol.dispose]: names.onChange((keys) => {
      if (keys.some(({ kind }) => kind === 'policy')) look()
    }),
  }
}

/** By the first policy that this process has seen to ban it: no record says which one did so first of all. */
function banOf(self: string, policy: Uint8Array | undefined): Ban {
  const signed =
    policy === undefined
      ? ''
      : `, signed by the authority ${readRecordAuthor(policy)}, since ${formatTime(readRecordTimeMs(policy))} UTC at the latest`
  return {
    found: `this node is banned by the cluster's policy${signed}: the other members refuse it, and what it publishes does not count`,
    remedy: `"shoal member unban ${self}" on the node with the authority key lets it in`,
  }
}
