/** A policy's rules about how many members hold what, checked as they are written. */
import { MalformedError } from '../wire/wire.ts'

export interface PlacementRule {
  repositories: string
  /** Members that are to hold an image, with all that belongs to it; 1 leaves it where it is. */
  copies: number
  /** How many of them a push waits for; absent for what the node that takes it was told. */
  ack?: number
}

/** More copies than this are what a keep rule is for. */
export const maxCopies = 16

/** Throws `MALFORMED`. */
export function checkPlacement({ placement = [], copies }: PlacementKeys): void {
  for (const [at, rule] of placement.entries()) {
    checkNumber(rule.copies, `placement[${at}].copies`)
    if (rule.ack === undefined) continue
    checkNumber(rule.ack, `placement[${at}].ack`)
    if (rule.ack > rule.copies)
      throw new MalformedError(
        `placement[${at}].ack is ${rule.ack}, and there are to be ${rule.copies} copies: a push would wait in vain`,
      )
  }
  if (copies !== undefined) checkNumber(copies, 'copies')
}

/** The part of a policy that is about copies. */
export interface PlacementKeys {
  placement?: PlacementRule[]
  /** Of what was pushed and no rule of `placement` matches. */
  copies?: number
}

function checkNumber(value: number, at: string): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= maxCopies) return
  throw new MalformedError(`${at} is ${value}; a number of copies is from 1 to ${maxCopies}`)
}
