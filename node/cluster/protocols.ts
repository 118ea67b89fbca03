/** The protocols that members speak about records and upstreams, and their limits. */
import { maxAnswerBytes, maxListBytes } from '../../src/mirror/mirror.ts'

export const askProtocol = '/shoal/ask/1.0.0'
export const askLimits = { maxFrameBytes: 512 * 1024, maxInboundPerPeer: 16 }

export const reconcileProtocol = '/shoal/reconcile/1.0.0'
export const reconcileLimits = { maxFrameBytes: 1024 * 1024, maxInboundPerPeer: 2 }

export const inquiryProtocol = '/shoal/inquiry/1.0.0'
/** A host that starts pulls many images at once. */
export const inquiryLimits = { maxFrameBytes: maxAnswerBytes, maxInboundPerPeer: 128 }

/** The same conversation about referrers alone: its answers are longer, and who does not speak it takes no offence. */
export const referrerInquiryProtocol = '/shoal/referrer-inquiry/1.0.0'
export const referrerInquiryLimits = { maxFrameBytes: maxListBytes, maxInboundPerPeer: 32 }
