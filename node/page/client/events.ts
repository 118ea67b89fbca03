/** Server-sent events, as this node writes them: a name and one line of data each. */
export interface NodeEvent {
  name: string
  data: string
}

/** The events that are whole, and the text that is still to be completed. */
export function parseEvents(text: string): { events: NodeEvent[]; rest: string } {
  const parts = text.split('\n\n')
  const rest = parts.pop() ?? ''
  const events = parts.flatMap((part) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(part) ?? []
    return name === undefined || data === undefined ? [] : [{ name, data }]
  })
  return { events, rest }
}
