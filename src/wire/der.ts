/** DER (ITU-T X.690), written: a tag, a length, and what is inside. */

/** Up to 65,535 bytes of content. */
export function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content])
  if (length < 0x100) return Buffer.concat([Buffer.of(tag, 0x81, length), content])
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), content])
}

export const sequence = (...parts: Uint8Array[]): Buffer => der(0x30, ...parts)
export const set = (...parts: Uint8Array[]): Buffer => der(0x31, ...parts)
export const octets = (...parts: Uint8Array[]): Buffer => der(0x04, ...parts)
export const truth = (): Buffer => der(0x01, Buffer.of(0xff))
export const utf8 = (value: string): Buffer => der(0x0c, Buffer.from(value))

/** Big-endian, without a sign: its first bit is 0. */
export const integer = (...bytes: number[]): Buffer => der(0x02, Buffer.from(bytes))

/** `unused` bits at the end are not of the string. */
export const bits = (content: Uint8Array, unused = 0): Buffer => der(0x03, Buffer.of(unused), content)

/** As `2.5.4.3`, of arcs below 16,384. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const arcs = rest.flatMap((arc) => (arc < 0x80 ? [arc] : [0x80 | (arc >> 7), arc & 0x7f]))
  return der(0x06, Buffer.from([first * 40 + second, ...arcs]))
}

/** RFC 5280, 4.1.2.5: two digits of the year before 2050. */
export function time(ms: number): Buffer {
  const digits = new Date(ms)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:T]/g, '')
  return Number(digits.slice(0, 4)) < 2050
    ? der(0x17, Buffer.from(digits.slice(2)))
    : der(0x18, Buffer.from(digits))
}
