import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fifo } from '../../src/base/base.ts'

describe('a queue', () => {
  it('gives what was put in, in order, as an array would', () => {
    const step = fc.constantFrom('push', 'shift', 'replaceFirst', 'replaceLast', 'clear')
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const queue = new Fifo<number>()
        let model: number[] = []
        steps.forEach((what, number) => {
          if (what === 'push') model.push(number)
          if (what === 'replaceFirst' && model.length > 0) model[0] = number
          if (what === 'replaceLast' && model.length > 0) model[model.length - 1] = number
          if (what === 'clear') model = []
          if (what === 'shift') expect(queue.shift()).toBe(model.shift())
          else if (what === 'clear') queue.clear()
          else queue[what as 'push'](number)
          expect([...queue]).toEqual(model)
          expect([queue.length, queue.first, queue.last]).toEqual([model.length, model[0], model.at(-1)])
        })
      }),
    )
  })
})
