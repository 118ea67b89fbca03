/** What this node gives to others: a session for each connection, and one upload that grants in turn what they ask for. */
import { type Logger, LogLimit } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import type { Connection } from '../peer/connection.ts'
import { Upload } from '../picker/upload.ts'
import type { UploadEvent } from '../picker/upload-events.ts'
import { grant, Session, type SessionContext } from './session.ts'

export interface SeederOptions extends SessionContext {
  logger: Logger
}

export class Seeder {
  readonly #options: SeederOptions
  readonly #upload: Upload
  readonly #sessions = new Map<string, Session>()
  /** Whoever asks may ask again and again. */
  readonly #failures: LogLimit
  #opened = 0

  constructor(options: SeederOptions) {
    this.#options = options
    this.#upload = new Upload()
    this.#failures = new LogLimit({ clock: options.clock, everyMs: 60_000 })
  }

  /** Serves the neighbour as long as the connection lasts. */
  open(connection: Connection): Session {
    const { background, logger, pool } = this.#options
    const id = `${connection.peer}/${this.#opened++}`
    const session = new Session({
      ...this.#options,
      id,
      connection,
      upload: this.#upload,
      sessions: this.#sessions,
      onListFailed: (digest, error) =>
        this.#failures.line(digest, (unsaid) =>
          logger.warn({ err: error, digest, unsaid }, 'a piece list could not be given'),
        ),
      onEnd: () => {
        this.#sessions.delete(id)
        if (this.#sessions.size === 0) pool.clear()
        this.#feed({ type: 'left', downloader: id })
      },
    })
    this.#sessions.set(id, session)
    background.start('sender', async () => await session.sender.run(connection.signal))
    return session
  }

  /** Who asks for the blob. */
  downloadersOf(digest: Digest): string[] {
    return [...this.#sessions.values()].filter((session) => session.wants(digest)).map(({ peer }) => peer)
  }

  /** To be called every now and then. */
  tick(): void {
    this.#feed({ type: 'wake' })
  }

  /** What the peer was not told of the blob, as it had it, it may lack now. */
  retell(peer: string, digest: Digest): void {
    for (const session of this.#sessions.values()) if (session.peer === peer) session.retell(digest)
  }

  #feed(event: UploadEvent): void {
    grant(event, { ...this.#options, upload: this.#upload, sessions: this.#sessions })
  }
}
