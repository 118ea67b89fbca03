/** Which failures of a pull are worth telling an operator, and which are the client's own. */
import type { OciError, OciErrorCode } from '../../src/oci/oci.ts'

/** What is refused for now: everything else is told to the client alone, which asked for what is not there. */
const forNow: ReadonlySet<OciErrorCode> = new Set(['UNAVAILABLE', 'TOOMANYREQUESTS', 'NO_SPACE'])

export function isRefusedForNow(method: string, { code }: OciError): boolean {
  return (method === 'GET' || method === 'HEAD') && forNow.has(code)
}

export function isClientGone(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error.name === 'ClientGoneError' || isClientGone(error.cause)
}
