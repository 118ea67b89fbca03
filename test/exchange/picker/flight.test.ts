import { describe, expect, it } from 'vitest'
import { Flight } from '../../../src/exchange/picker/flight.ts'

describe('pieces on their way', () => {
  it('are few over a narrow link, however long it goes on', () => {
    const flight = new Flight({ least: 4, most: 64 })
    for (let nowMs = 0; nowMs < 10_000; nowMs += 170) {
      flight.arrived(nowMs)
      expect(flight.size(nowMs)).toBe(4)
    }
  })

  it('are as many as arrive within a tenth of a second, up to the most', () => {
    const flight = new Flight({ least: 4, most: 64 })
    for (let nowMs = 0; nowMs < 1000; nowMs += 5) flight.arrived(nowMs)
    expect(flight.size(1000)).toBe(20)
    for (let nowMs = 1000; nowMs < 2000; nowMs += 0.5) flight.arrived(nowMs)
    expect(flight.size(2000)).toBe(64)
  })

  it('become few again after a pause', () => {
    const flight = new Flight({ least: 2, most: 64 })
    for (let nowMs = 0; nowMs < 500; nowMs += 5) flight.arrived(nowMs)
    expect(flight.size(599)).toBe(20)
    expect(flight.size(700)).toBe(2)
  })

  it('grow over a long way: each return of the word that they arrived lets more go', () => {
    const flight = new Flight({ least: 2, most: 64 })
    const tripMs = 20
    let size = 0
    for (let nowMs = 0; nowMs < 2000; nowMs += tripMs) {
      size = flight.size(nowMs)
      for (let piece = 0; piece < size; piece++) flight.arrived(nowMs)
    }
    expect(size).toBe(64)
  })
})
