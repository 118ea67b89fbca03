import { expect, it } from 'vitest'
import { WaitingGuests } from '../../../node/cluster/waiting-guests.ts'
import { ManualClock } from '../../records/fixture.ts'

const clock = new ManualClock()
const guest = (peer: string, from: string) => ({
  peer,
  from,
  addresses: [`/ip4/${from}/tcp/1`],
  isInvited: false,
})

it('are bounded in all and for each host, and the oldest of whoever has most make room', () => {
  const guests = new WaitingGuests(clock)
  guests.add(guest('honest', '192.0.2.1'))
  for (let n = 0; n < 100; n++) guests.add(guest(`flood-${n}`, '192.0.2.2'))
  expect(guests.list().map(({ peer }) => peer)).toEqual([
    'honest',
    ...Array.from({ length: 16 }, (_, n) => `flood-${84 + n}`),
  ])
  for (let host = 0; host < 100; host++)
    for (let n = 0; n < 16; n++) guests.add(guest(`${host}-${n}`, `198.51.100.${host}`))
  expect(guests.list().length).toBe(256)
  expect(guests.list()[0]?.peer).toBe('honest')
})

it('keep since when they come, and are forgotten an hour after they were here last', () => {
  const guests = new WaitingGuests(clock)
  const sinceMs = clock.ms
  guests.add(guest('one', '192.0.2.1'))
  clock.ms += 50 * 60_000
  guests.add(guest('one', '192.0.2.3'))
  expect(guests.list()).toMatchObject([{ peer: 'one', from: '192.0.2.3', sinceMs, seenMs: clock.ms }])
  clock.ms += 60 * 60_000
  expect(guests.list()).toHaveLength(1)
  clock.ms += 1
  expect(guests.list()).toEqual([])
  expect(guests.take('one')).toEqual([])
})
