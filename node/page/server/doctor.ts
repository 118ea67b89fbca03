/** What the doctor says of this node: looked at again once a minute at most, as it knocks at ports and upstreams. */
import type { Clock } from '../../../src/base/base.ts'
import { Measured } from '../../measured.ts'
import type { DoctorAnswer } from '../answers/storage.ts'
import type { PageNode } from '../page.ts'

const minAgeMs = 60_000

export class DoctorReports {
  readonly #found: Measured<DoctorAnswer>

  constructor(node: Pick<PageNode, 'diagnose'>, clock: Clock) {
    const examine = async (): Promise<DoctorAnswer> => {
      const measuredMs = clock.now()
      const all = await node.diagnose()
      const worth = all.flatMap(({ level, ...finding }) => (level === 'fine' ? [] : [{ level, ...finding }]))
      const [faults, notes] = [worth.filter(isFault), worth.filter((one) => !isFault(one))]
      return { findings: [...faults, ...notes], measuredMs }
    }
    this.#found = new Measured(examine, clock, { minAgeMs })
  }

  async report({ signal }: { signal: AbortSignal }): Promise<DoctorAnswer> {
    const found = await this.#found.get()
    signal.throwIfAborted()
    return found
  }
}

function isFault({ level }: { level: string }): boolean {
  return level === 'fault'
}
