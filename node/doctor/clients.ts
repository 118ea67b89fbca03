/** Whether clients are let in, and by a certificate that is good. */
import { protect, reopen, rule } from '../network-access.ts'
import { remindMs } from '../tls/tls.ts'
import { type Check, type Finding, fault, fine, note } from './check.ts'

export interface ClientFacts {
  nowMs: number
  /** Absent without TLS. */
  tlsEndMs?: number
  /** Why nobody is let in, in words. */
  closed?: string
  outdated?: string
  /** What everybody may who reaches the port, where that was agreed to, in words. */
  open?: string
  /** What everybody may although there are accounts, in words. */
  unruled?: string
}

const reach =
  "see why no member is reached (shoal peers); the policy's accessMaxAge says for how long this node may go on without"

export function judgeClients({ nowMs, tlsEndMs, closed, outdated, open, unruled }: ClientFacts): Finding[] {
  const found = [
    ...(closed === undefined ? [] : [fault(closed, reopen)]),
    ...(outdated === undefined ? [] : [fault(outdated, reach)]),
    ...(open === undefined ? [] : [note(open, protect)]),
    ...(unruled === undefined ? [] : [note(unruled, rule)]),
  ]
  return tlsEndMs === undefined ? found : [...found, judgeCertificate(tlsEndMs, nowMs)]
}

function judgeCertificate(endMs: number, nowMs: number): Finding {
  const day = new Date(endMs).toISOString().slice(0, 10)
  const replace = 'replace the files of --tls-cert and --tls-key; the node reads them by itself'
  if (endMs <= nowMs) return fault(`the TLS certificate ended on ${day}, and clients refuse it`, replace)
  if (endMs <= nowMs + remindMs) return note(`the TLS certificate ends on ${day}`, replace)
  return fine(`the TLS certificate is good until ${day}`)
}

export const clients: Check = {
  name: 'clients',
  async examine({ node }) {
    if (node === undefined) return []
    return judgeClients({ nowMs: node.status.nowMs, ...node.reach })
  },
}
