// Numbers as people read them. Every function takes base units: bytes, bytes per second, seconds, Unix time.

const UNITS = ["B", "kB", "MB", "GB", "TB"];
const number = new Intl.NumberFormat("en-GB");

export function count(value, singular, plural = `${singular}s`) {
  return `${number.format(value)} ${value === 1 ? singular : plural}`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "";
  let unit = 0;
  let amount = value;
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
  return `${amount.toFixed(digits)} ${UNITS[unit]}`;
}

export function speed(bytesPerSecond) {
  return bytesPerSecond === null || bytesPerSecond === undefined ? "" : `${bytes(Math.round(bytesPerSecond))}/s`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return "under 1 s";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export function percent(fraction) {
  return `${Math.floor(Math.min(1, Math.max(0, fraction)) * 100)} %`;
}

export function clock(unixTime) {
  return new Date(unixTime * 1000).toLocaleString("en-GB", {
    day: "2-digit",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
}
