// The server's time as this browser knows it: task times are the server's, and the two clocks may differ.

let ahead = 0;

/** Say what the server's Unix time is right now. */
export function setServerTime(unixTime) {
  ahead = Date.now() / 1000 - unixTime;
}

export function serverTime() {
  return Date.now() / 1000 - ahead;
}
