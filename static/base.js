// Where livetask is served: pages may lie under a path of a proxy, so every address begins with this. Pure.

/** The server's address with that path and without a slash at its end; these files lie below it, under static/. */
export const BASE = addressOf(new URL('..', import.meta.url));

/** An address without the slash at its end, its query and its hash. @param {URL} url */
export function addressOf(url) {
  return url.origin + url.pathname.replace(/\/+$/, '');
}
