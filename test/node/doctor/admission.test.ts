import { expect, it } from 'vitest'
import { judgeAdmission } from '../../../node/doctor/admission.ts'

it('says who may become a member', () => {
  expect(judgeAdmission({ mode: 'token', guests: [] })).toMatchObject([
    { level: 'fine', found: expect.stringContaining('has the token') },
  ])
  expect(judgeAdmission({ mode: 'approved', guests: [] })).toMatchObject([{ level: 'fine' }])
})

it('lists who waits, a few of them, and what lets them in', () => {
  const guests = Array.from({ length: 7 }, (_, n) => ({
    peer: `peer-${n}`,
    name: 'a\u001b[31m',
    from: '192.0.2.1',
  }))
  const [, waiting] = judgeAdmission({ mode: 'approved', guests })
  expect(waiting).toMatchObject({ level: 'note', advice: expect.stringContaining('shoal member approve') })
  expect(waiting?.found).toContain('peer-4')
  expect(waiting?.found).toContain('and 2 more')
  expect(waiting?.found).not.toContain('\u001b')
})

it('calls it a fault that this node is none yet', () => {
  const [, problem] = judgeAdmission({ mode: 'token', guests: [], problem: 'this node is a guest' })
  expect(problem).toMatchObject({ level: 'fault', found: 'this node is a guest' })
})
