/** An upload session as the store knows it while it runs. */
import type { DigestAlgorithm, Repository } from '../../oci/oci.ts'
import type { SessionRow } from '../database/database.ts'
import { UploadConflictError, UploadUnknownError } from '../errors.ts'
import type { Ingest } from '../ingest/ingest.ts'
import type { HeldBytes } from './held-bytes.ts'

export interface Session {
  readonly id: string
  readonly repository: Repository
  readonly client: string
  readonly row: SessionRow
  /** False while it has no file: then it is in memory alone, with the bytes of a small one, and forgotten when the process is killed. */
  isStored: boolean
  /** Empty once it has a file. */
  readonly held: HeldBytes
  ingest: Ingest | undefined
  /** It gave way to another. */
  isGone: boolean
  /** Of the request that is under way; aborted when a later one takes the session over, or another session its place. */
  turn: AbortController
}

export interface SessionFacts {
  repository: Repository
  algorithm: DigestAlgorithm
  touchedMs: number
  client?: string | undefined
}

export function newSession(id: string, held: HeldBytes, { client = '', ...row }: SessionFacts): Session {
  const { repository } = row
  const turn = new AbortController()
  return { id, repository, client, row, held, isStored: false, isGone: false, ingest: undefined, turn }
}

/** One of the last run, whose client nobody remembers. */
export function storedSession(id: string, held: HeldBytes, row: SessionRow): Session {
  return { ...newSession(id, held, row), row, isStored: true }
}

/** Why a request to it was cut off. */
export function takenOver({ id, isGone }: Session, accepted: number): Error {
  return isGone ? unknownSession(id) : new UploadConflictError(accepted)
}

export function unknownSession(id: string): UploadUnknownError {
  return new UploadUnknownError(`there is no upload session ${JSON.stringify(id.slice(0, 80))} here`)
}
