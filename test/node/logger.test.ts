import { describe, expect, it } from 'vitest'
import { createLogger } from '../../node/logger.ts'
import { prettyLine } from '../../node/pretty-line.ts'

function lines(format: 'auto' | 'json' | 'pretty', options: { isTerminal?: boolean; colour?: boolean } = {}) {
  const written: string[] = []
  const destination = { write: (line: string) => void written.push(line) }
  const logger = createLogger('info', { format, destination, ...options })
  return { logger, written }
}

describe('the log', () => {
  it.each([
    ['auto', false, true],
    ['auto', true, false],
    ['json', true, true],
    ['pretty', false, false],
  ] as const)(
    'with format %s, where standard error is a terminal: %s, is JSON lines: %s',
    (format, isTerminal, isJson) => {
      const { logger, written } = lines(format, { isTerminal, colour: false })
      logger.info({ bytes: 7 }, 'pulled blob')
      logger.debug({}, 'not at this level')
      expect(written).toHaveLength(1)
      if (isJson)
        expect(JSON.parse(written[0] ?? '')).toMatchObject({ level: 30, bytes: 7, msg: 'pulled blob' })
      else expect(written[0]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO {2}pulled blob bytes=7\n$/)
    },
  )

  it('has colours on a terminal alone', () => {
    const { logger, written } = lines('pretty', { isTerminal: true, colour: true })
    logger.warn({}, 'careful')
    expect(written[0]).toContain('\u001b[33mWARN \u001b[39m careful')
  })

  it('tells an error with its stack, indented', () => {
    const { logger, written } = lines('pretty', { colour: false })
    logger.error({ err: new Error('broken\nINFO  all is well') }, 'failed')
    const [first, second, third, ...stack] = (written[0] ?? '').split('\n')
    expect(first).toMatch(/ERROR failed$/)
    expect([second, third]).toEqual(['    Error: broken', '    INFO  all is well'])
    expect(stack.slice(0, -1).every((line) => line.startsWith('    '))).toBe(true)
  })
})

describe('a pretty line', () => {
  const text = (value: unknown) => prettyLine({ level: 30, time: 't', msg: 'm', value }, { colour: false })

  it.each([
    ['team/app', 'value=team/app'],
    ['two words', 'value="two words"'],
    ['', 'value=""'],
    ['say "hi"', 'value="say \\"hi\\""'],
    [{ a: 1 }, 'value={"a":1}'],
    [undefined, 'value=undefined'],
    ['line\nbreak', 'value="line\\nbreak"'],
    ['\u001b[31mred', 'value="\\u001b[31mred"'],
    ['\u009b31mred', 'value="\\u009b31mred"'],
    ['a\u2028b', 'value="a\\u2028b"'],
    ['abc\u202ecba', 'value="abc\\u202ecba"'],
    ['größe', 'value=größe'],
  ])('writes %j as %s', (value, expected) => {
    expect(text(value)).toBe(`t INFO  m ${expected}\n`)
  })

  it('is one line whatever a message or a name holds', () => {
    const line = prettyLine({ level: 30, time: 't', msg: 'a\nb\u001b[2J', 'x\ny': 1 }, { colour: false })
    expect(line).toBe('t INFO  a\\u000ab\\u001b[2J x\\u000ay=1\n')
  })
})
