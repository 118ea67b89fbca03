/** Whose trace a request belongs to, as `traceparent` says (W3C Trace Context, level 1). */
import { randomBytes } from 'node:crypto'

export interface TraceContext {
  /** 32 hex digits. */
  traceId: string
  /** 16 hex digits; absent where the trace begins here. */
  parentId?: string
  /** What the caller decided; absent where this node decides. */
  isSampled?: boolean
}

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const maxLength = 512

/** A header that is malformed begins a new trace. */
export function contextOf(traceparent: string | undefined): TraceContext {
  const [, version, traceId, parentId, flags, more] =
    pattern.exec(traceparent?.slice(0, maxLength) ?? '') ?? []
  const isValid =
    traceId !== undefined &&
    parentId !== undefined &&
    version !== 'ff' &&
    !(version === '00' && more !== undefined) &&
    !/^0+$/.test(traceId) &&
    !/^0+$/.test(parentId)
  if (!isValid) return { traceId: newId(16) }
  return { traceId, parentId, isSampled: (Number.parseInt(flags ?? '0', 16) & 1) === 1 }
}

/** As hex. */
export function newId(bytes: 8 | 16): string {
  return randomBytes(bytes).toString('hex')
}
