import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseEvents } from '../../../../node/page/client/events.ts'

it('reads events however the stream was cut, and nothing else', () => {
  const event = fc.record({ name: fc.constantFrom('state', 'blob'), data: fc.json() })
  fc.assert(
    fc.property(fc.array(event), fc.integer({ min: 1, max: 20 }), (events, step) => {
      const told = events.map(({ name, data }) => `event: ${name}\ndata: ${data}\n\n`)
      const whole = `retry: 2000\n\n${told.join('')}event: state\ndata: half`
      const read: unknown[] = []
      let text = ''
      for (let at = 0; at < whole.length; at += step) {
        const { events: found, rest } = parseEvents(text + whole.slice(at, at + step))
        read.push(...found)
        text = rest
      }
      expect(read).toEqual(events)
      expect(text).toBe('event: state\ndata: half')
    }),
  )
})
