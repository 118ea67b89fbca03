/** A text that no log, message or listing may show: whoever needs it has to say so. */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  reveal(): string {
    return this.#text
  }
}
