/** The node's messages begin small, as they follow a name in a terminal; one that begins with a name stays as it is. */
export function sentence(message: string, given: readonly unknown[]): string {
  const isNamed = given.some((name) => typeof name === 'string' && name !== '' && message.startsWith(name))
  const [first = ''] = message.split(' ')
  const text =
    isNamed || !/^[a-z]+[,;:]?$/.test(first) ? message : message.charAt(0).toUpperCase() + message.slice(1)
  return /[.!?]$/.test(text) ? text : `${text}.`
}
