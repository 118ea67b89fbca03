/** Why somebody is not who they say. */
import { OciError } from '../oci/oci.ts'

/** The credentials are wrong, or not looked at for now. The message is the same whatever is wrong with them. */
export class SignInError extends OciError {
  /** The account that was meant, where there is one: what else was typed there may be a password. */
  readonly account: string | undefined

  constructor(
    code: 'UNAUTHORIZED' | 'TOOMANYREQUESTS',
    message: string,
    { account, retryAfterMs }: { account?: string | undefined; retryAfterMs?: number } = {},
  ) {
    super(code, message, { retryAfterMs })
    this.account = account
  }
}
