/** Pulls that failed lately, by image: what a person asks for who hears that a host cannot pull. */
import { SignInError } from '../../src/access/access.ts'
import { type Pulled, RecentMap } from '../../src/base/base.ts'
import { parseRoute } from '../../src/http/http.ts'
import { OciError } from '../../src/oci/oci.ts'
import { isClientGone, isRefusedForNow } from './failure-kinds.ts'
import type { FinishedRequest, RequestListener } from './request-tracer.ts'

export interface FailedPull {
  readonly kind: 'manifest' | 'blob'
  readonly repository: string
  /** A tag or a digest, as it was asked for. */
  readonly reference: string
  /** The code that the client was told; `BROKEN_OFF` where it had begun to get the bytes. */
  readonly code: string
  /** In words, as of the last time. */
  readonly reason: string
  readonly times: number
  readonly firstMs: number
  readonly lastMs: number
  /** The address that asked last. */
  readonly client?: string
}

export interface FailedPulls {
  readonly listener: RequestListener
  /** The latest first. */
  list(): FailedPull[]
  /** How many there were since the start, without those of what there is not. */
  total(): number
}

type Asked = Pick<FailedPull, 'kind' | 'repository' | 'reference'>

/** Images that are remembered: who asks for what there is not, or is not signed in, however often, pushes nothing else out. */
const maxFailed = 50
const maxAbsent = 20
const maxReasonLength = 500

export function keepFailedPulls(): FailedPulls {
  const failed = new RecentMap<string, FailedPull>(maxFailed)
  const absent = new RecentMap<string, FailedPull>(maxAbsent)
  let total = 0

  const note = (
    among: Map<string, FailedPull>,
    { kind, repository, reference }: Asked,
    { code, reason }: Pick<FailedPull, 'code' | 'reason'>,
    { client, endMs }: FinishedRequest,
  ): void => {
    const key = `${repository} ${reference}`
    const before = among.get(key)
    among.set(key, {
      kind,
      repository,
      reference,
      code,
      reason: reason.slice(0, maxReasonLength),
      times: (before?.times ?? 0) + 1,
      firstMs: before?.firstMs ?? endMs,
      lastMs: endMs,
      ...(client === undefined ? {} : { client }),
    })
  }

  const noteBroken = ({ kind, repository, reference }: Pulled, finished: FinishedRequest): void => {
    const { error } = finished
    if (isClientGone(error)) return
    total++
    const reason = error instanceof Error ? error.message : 'the answer broke off'
    note(failed, { kind, repository, reference }, { code: 'BROKEN_OFF', reason }, finished)
  }

  return {
    listener(finished) {
      const { pull, error, request, route } = finished
      if (pull !== undefined) {
        if (!pull.isComplete) noteBroken(pull, finished)
        return
      }
      if ((route !== 'blob' && route !== 'manifest') || !(error instanceof OciError)) return
      const { method = '' } = request
      const told = { code: error.code, reason: error.message }
      const isForNow = isRefusedForNow(method, error)
      // Whoever is refused at the door can name anything.
      const isFailed = isForNow && !(error instanceof SignInError)
      if (isFailed) total++
      // A push asks by HEAD for what may not be there, so only who wants the bytes misses them.
      const isAbsent =
        method === 'GET' && (error.code === 'MANIFEST_UNKNOWN' || error.code === 'NAME_UNKNOWN')
      if (!isForNow && !isAbsent) return
      const asked = askedFor(request.url ?? '')
      if (asked !== undefined) note(isFailed ? failed : absent, asked, told, finished)
    },
    list: () => [...failed.values(), ...absent.values()].sort((a, b) => b.lastMs - a.lastMs),
    total: () => total,
  }
}

function askedFor(url: string): Asked | undefined {
  const route = parseRoute(url.replace(/\?.*/, ''))
  if (route?.name === 'blob') return { kind: 'blob', repository: route.repository, reference: route.digest }
  if (route?.name !== 'manifest') return undefined
  const { repository, reference } = route
  return { kind: 'manifest', repository, reference: 'tag' in reference ? reference.tag : reference.digest }
}
