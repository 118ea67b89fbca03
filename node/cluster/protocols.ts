/** The protocols that members speak about records, and their limits. */
export const askProtocol = '/shoal/ask/1.0.0'
export const askLimits = { maxFrameBytes: 512 * 1024, maxInboundPerPeer: 16 }

export const reconcileProtocol = '/shoal/reconcile/1.0.0'
export const reconcileLimits = { maxFrameBytes: 1024 * 1024, maxInboundPerPeer: 2 }
