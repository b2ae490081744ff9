/** How the image and ./flowspan start Node: whoever measures the bundle starts it so, too. */
export const NODE_FLAGS: readonly string[] = ["--max-semi-space-size=2", "--heap-growing-percent=45"];
export const MALLOC_ENV: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "262144",
  MALLOC_TRIM_THRESHOLD_: "4194304",
};
