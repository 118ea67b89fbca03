/** The policy's quotas, as the registry asks for them: read once for each policy. */
import { parseSize } from '../src/base/base.ts'
import { type Ledger, matchesGlob } from '../src/records/records.ts'
import type { Quota, QuotasFor } from '../src/registry/registry.ts'

export function quotasOf(names: Pick<Ledger, 'policy' | 'onChange'>): { quotasFor: QuotasFor } & Disposable {
  let quotas = readQuotas(names)
  const unsubscribe = names.onChange((keys) => {
    if (keys.some(({ kind }) => kind === 'policy')) quotas = readQuotas(names)
  })
  return {
    quotasFor: (repository) => quotas.filter((quota) => matchesGlob(quota.repositories, repository)),
    [Symbol.dispose]: unsubscribe,
  }
}

function readQuotas(names: Pick<Ledger, 'policy'>): Quota[] {
  return (names.policy().quotas ?? []).map(({ repositories, bytes: size, tags }) => {
    const bytes = size === undefined ? undefined : parseSize(size)
    return {
      repositories,
      ...(bytes === undefined ? {} : { bytes }),
      ...(tags === undefined ? {} : { tags }),
    }
  })
}
