/** Why a request got no answer, or only a part of one, in words that hold nothing of the request. */

const words: Record<string, string> = {
  ECONNREFUSED: 'refuses connections',
  ECONNRESET: 'broke the connection off',
  EHOSTUNREACH: 'cannot be reached',
  ENETUNREACH: 'cannot be reached',
  ENOTFOUND: 'is a name without an address',
  EAI_AGAIN: 'is a name that cannot be looked up now',
  ETIMEDOUT: 'cannot be connected to in time',
  CERT_HAS_EXPIRED: 'has a certificate that has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'has a certificate that no trusted authority signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'has a certificate that no trusted authority signed',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'has a certificate that no trusted authority signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'has a certificate that no trusted authority signed',
  ERR_TLS_CERT_ALTNAME_INVALID: 'has a certificate for another name',
  UND_ERR_CONNECT_TIMEOUT: 'cannot be connected to in time',
  UND_ERR_HEADERS_TIMEOUT: 'does not answer in time',
  ANSWER_TIMEOUT: 'does not answer in time',
  UND_ERR_BODY_TIMEOUT: 'stopped in the middle of an answer',
  UND_ERR_SOCKET: 'broke the connection off',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'sent an answer of another length than it said',
  UND_ERR_HEADERS_OVERFLOW: 'sent a head that is too large',
  UND_ERR_MAX_ORIGINS_REACHED: 'is one of too many hosts at once',
  UND_ERR_PRX_TLS: 'is behind a proxy whose certificate is not for it',
  UND_ERR_ABORTED: 'cannot be reached through the proxy',
}

export function describeFailure(error: unknown): string {
  const code = codeOf(error)
  if (code === 'FORBIDDEN_ADDRESS') return `is not followed: ${(error as Error).message}`
  if (code.startsWith('HPE_')) return 'answers what is not HTTP'
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return 'does not speak TLS as it should'
  return words[code] ?? `cannot be asked (${code === '' ? 'for a reason without a name' : code})`
}

/** False for what is wrong with where the upstream refers, or with what it says. */
export function isConnectionFailure(error: unknown): boolean {
  const code = codeOf(error)
  return code !== 'FORBIDDEN_ADDRESS' && !code.startsWith('HPE_')
}

/** A connection that was kept may have been closed by the other side just when it was used again. */
export function isClosedConnection(error: unknown): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error))
}

/** Of the error, or of the first of those that connecting to several addresses ended with. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && !('code' in error && error.code !== undefined))
    return codeOf(error.errors[0])
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return ''
}
