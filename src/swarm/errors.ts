/** The ways in which a swarm refuses or fails. */
import { CodedError } from '../base/base.ts'

/** A file of the data directory that the swarm depends on is malformed, or readable by other users. */
export class SwarmFileError extends CodedError {
  readonly code = 'SWARM_FILE'
  readonly path: string

  constructor(path: string, message: string, options?: { cause?: unknown }) {
    super(`${path} ${message}`, options)
    this.path = path
  }
}

/** What was given as a join token, or as an exported authority key, is not one. */
export class TokenError extends CodedError {
  readonly code = 'TOKEN_INVALID'
}

/** The node belongs to another cluster than the token's. */
export class ClusterConflictError extends CodedError {
  readonly code = 'CLUSTER_CONFLICT'
}

/** The cluster's authority key is not on this node. */
export class AuthorityAbsentError extends CodedError {
  readonly code = 'AUTHORITY_ABSENT'
}

/** The peer-to-peer address cannot be listened on, or an address is not one. */
export class ListenError extends CodedError {
  readonly code = 'LISTEN_FAILED'
}

/** No channel to the peer could be opened. */
export class PeerUnreachableError extends CodedError {
  readonly code = 'PEER_UNREACHABLE'
  readonly peer: string

  constructor(peer: string, protocol: string, options?: { cause?: unknown }) {
    super(`no ${protocol} channel to ${peer}`, options)
    this.peer = peer
  }
}
