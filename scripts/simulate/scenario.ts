/** What is simulated, and what it came to. */

export const mebibyte = 1024 * 1024

export interface Scenario {
  name: string
  hosts: number
  /** One blob for each. */
  sizes: number[]
  /** How many of them a host fetches at once. */
  parallel?: number
  /** Links in Mbit/s, and what share of the hosts has them; the first holder has the first. */
  links: { up: number; down: number; share: number }[]
  /** Longest that a message waits behind data in one link; default what a link's queue holds (network.ts). */
  messageQueueMs?: number
  /** Other hosts that one knows at most; default all. */
  neighbours?: number
  /** The first holder brings everything from outside, in order and as quickly as its link takes it, and signs for what it has. */
  isBrought?: boolean
  /** Hosts start within this time. */
  spreadMs?: number
  /** One more host starts now. */
  lateMs?: number
  /** The share of hosts that leaves while it downloads. */
  churn?: number
  /** The first holder dies when the others have each piece at least once. */
  killHolder?: 'closed' | 'silent'
  sites?: { count: number; narrowMbps: number; aware: boolean }
  /** Coarse: whole pieces as frames, rarer wakes and updates. For thousands of hosts. */
  coarse?: boolean
  seed?: number
}

export interface Outcome {
  name: string
  hosts: number
  finished: number
  expected: number
  /** Time over the host's own bound, size over its downlink or that of the holder's uplink if it is slower. */
  slowest: number
  median: number
  /** Of all hosts, in order: time over bound. */
  factors: number[]
  holderCopies: number
  /** Bytes of pieces that were there already or not wanted any more, over the bytes needed. */
  wasted: number
  messagesPerHost: number
  /** Copies that came into a site over its narrow link: mean over the sites without the first holder, and the most. */
  copiesPerSite: { mean: number; most: number } | undefined
  lateFactor: number | undefined
  events: number
  cpuSeconds: number
}
