import { describe, expect, it } from 'vitest'
import { Background, silentLogger } from '../../../src/base/base.ts'
import { UpdatePace } from '../../../src/exchange/seeding/update-pace.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

describe('updates', () => {
  interface Scene {
    pace: UpdatePace
    told: number[]
    isBusy: boolean
    /** Lets time pass, with a check at its end. */
    after(ms: number): Promise<void>
    [Symbol.asyncDispose](): Promise<void>
  }

  function open(): Scene {
    const clock = new SteppedClock()
    const background = new Background('the test', silentLogger)
    const startMs = clock.now()
    const scene: Scene = {
      told: [],
      isBusy: false,
      pace: new UpdatePace({
        background,
        clock,
        isBusy: () => scene.isBusy,
        busyMs: () => 200,
        flush: () => scene.told.push(clock.now() - startMs),
      }),
      async after(ms) {
        await settled()
        clock.advance(ms)
        await settled()
        scene.pace.check()
      },
      [Symbol.asyncDispose]: async () => await background[Symbol.asyncDispose](),
    }
    return scene
  }

  const settled = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve))

  it('go out at once after a while of silence, and then together for 20 ms', async () => {
    await using scene = open()
    scene.pace.news()
    await scene.after(0)
    expect(scene.told).toEqual([0])
    for (const ms of [5, 5, 5]) {
      scene.pace.news()
      await scene.after(ms)
    }
    expect(scene.told).toEqual([0])
    await scene.after(5)
    expect(scene.told).toEqual([0, 20])
  })

  it('wait longer for more when the asker waits for pieces, and go out also when nothing more comes', async () => {
    await using scene = open()
    scene.pace.news()
    await scene.after(0)
    scene.isBusy = true
    scene.pace.news()
    await scene.after(100)
    scene.pace.news()
    expect(scene.told).toEqual([0])
    await scene.after(100)
    expect(scene.told).toEqual([0, 200])
    scene.pace.news()
    scene.isBusy = false
    await scene.after(200)
    expect(scene.told).toEqual([0, 200, 400])
  })
})
