/** A proposal to replace the authority, as administrators hand it to each other in a file until enough of them signed it. */
import { CodedError } from '../src/base/base.ts'
import { approve, type Statement } from '../src/records/records.ts'
import { type Identity, MalformedError, parsePeerId } from '../src/wire/wire.ts'

/** The file holds no proposal, or it does not fit the cluster as it is now. */
export class ProposalError extends CodedError {
  readonly code = 'PROPOSAL'
}

/** Keys as peer ids. */
export interface Proposal {
  /** Whose place is taken. */
  from: string
  to: string
  atMs: number
  /** By the key that signed, in Base64. */
  signatures: Record<string, string>
}

const maxSignatures = 64

/** Throws ProposalError. */
export function readProposal(text: string, file = 'what was given'): Proposal {
  try {
    const { from, to, atMs, signatures }: Partial<Proposal> = JSON.parse(text)
    if (
      typeof from !== 'string' ||
      typeof to !== 'string' ||
      !Number.isSafeInteger(atMs) ||
      atMs === undefined
    )
      throw new MalformedError('from, to or atMs is missing')
    const signed = Object.entries(signatures ?? {}).map(([key, value]) => [key, String(value)])
    if (signed.length > maxSignatures) throw new MalformedError(`${signed.length} signatures are too many`)
    const proposal = { from, to, atMs, signatures: Object.fromEntries(signed) as Record<string, string> }
    statementOf(proposal)
    signaturesOf(proposal)
    return proposal
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof MalformedError || cause instanceof TypeError))
      throw cause
    const reason = cause.name === 'SyntaxError' ? 'it is no JSON' : cause.message
    throw new ProposalError(
      `${file} is no proposal to replace the authority: ${reason}; shoal authority recover propose FILE writes one`,
      { cause },
    )
  }
}

/** Agrees in the name of that key. */
export function signProposal(proposal: Proposal, identity: Identity): Proposal {
  const signature = approve(statementOf(proposal), identity).subarray(identity.publicKey.length)
  const signatures = { ...proposal.signatures, [identity.peerId]: Buffer.from(signature).toString('base64') }
  return { ...proposal, signatures }
}

/** Each key with its signature. */
export function signaturesOf({ signatures }: Proposal): Uint8Array[] {
  return Object.entries(signatures).map(([key, signature]) => {
    return new Uint8Array(Buffer.concat([parsePeerId(key), Buffer.from(signature, 'base64')]))
  })
}

function statementOf({ from, to, atMs }: Proposal): Statement {
  return { from: parsePeerId(from), to: parsePeerId(to), at: atMs }
}
