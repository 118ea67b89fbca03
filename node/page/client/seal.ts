/** The page's part of a session: kept where only pages of this very port can read it, for all of their tabs. */
export const sealKey = 'shoal-session'

export const seal = {
  get: (): string | undefined => localStorage.getItem(sealKey) ?? undefined,
  set(value: string | undefined): void {
    if (value === undefined) localStorage.removeItem(sealKey)
    else localStorage.setItem(sealKey, value)
  },
  /** For every request to the API. */
  headers(): Record<string, string> {
    const value = seal.get()
    return value === undefined ? {} : { 'X-Shoal-Session': value }
  },
}
