/** Keeps an upstream from sending this node into networks that only this node reaches (as in CVE-2026-2376). */
import { type LookupAddress, lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { type AddressKind, kindOfAddress } from './address-kinds.ts'

/** The upstream refers to an address where it has no business. */
export class ForbiddenAddressError extends Error {
  readonly code = 'FORBIDDEN_ADDRESS'

  constructor(host: string, kind: AddressKind) {
    super(`${host} is a ${kind} address`)
  }
}

/** An upstream in this host's own network may refer to others there, one outside only to others outside. */
export function isReferable(kind: AddressKind, own: AddressKind | undefined): boolean {
  return kind === 'public' || (kind !== 'reserved' && kind === own)
}

/** Looks names up and gives only addresses that may be connected to, so that no second look-up can give others. */
export function guardedLookup(ownKind: () => AddressKind | undefined): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const forbidden =
        error === null
          ? addresses.find(({ address }) => !isReferable(kindOfAddress(address), ownKind()))
          : undefined
      if (error !== null) callback(error, '')
      else if (forbidden !== undefined) {
        const { address } = forbidden
        callback(new ForbiddenAddressError(`${hostname} (${address})`, kindOfAddress(address)), '')
      } else give(addresses, options.all === true, callback)
    })
  }
}

function give(addresses: LookupAddress[], all: boolean, callback: Parameters<LookupFunction>[2]): void {
  const [first] = addresses
  if (all) callback(null, addresses)
  else callback(null, first?.address ?? '', first?.family)
}
