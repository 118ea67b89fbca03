/** Bans as a member lives with them: how it tells and learns of them, and what it says when it is banned itself. */
import type { Logger } from '../../src/base/base.ts'
import { type Ledger, readRecordKey } from '../../src/records/records.ts'
import type { PolicyExchange } from '../../src/swarm/swarm.ts'
import { MalformedError } from '../../src/wire/wire.ts'

export interface OwnBan extends Disposable {
  /** In words; `undefined` while this node is not banned. */
  problem(): string | undefined
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
  names: Pick<Ledger, 'isBanned' | 'onChange'>,
  self: string,
  logger: Logger,
): OwnBan {
  let wasBanned = false
  const look = (): void => {
    const isBanned = names.isBanned(self)
    if (isBanned && !wasBanned) {
      logger.warn({ peer: self }, `${bannedText(self)}; it tries again every five minutes`)
    }
    if (!isBanned && wasBanned) logger.info({ peer: self }, 'this node is no longer banned')
    wasBanned = isBanned
  }
  look()
  return {
    problem: () => (names.isBanned(self) ? bannedText(self) : undefined),
    [Symbol.dispose]: names.onChange((keys) => {
      if (keys.some(({ kind }) => kind === 'policy')) look()
    }),
  }
}

function bannedText(self: string): string {
  return (
    "this node is banned by the cluster's policy, so that the other members refuse it; " +
    `"shoal policy unban ${self}" on the node with the authority key lets it in`
  )
}
