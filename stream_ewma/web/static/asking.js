// Questions to the member that this page is of.

/** What a path answers; null: an error, or no answer. */
export async function ask(path) {
  try {
    const answer = await fetch(path);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** A key's state, or the member that has it instead; neither: there is no such key. */
export async function askKey(key, signal) {
  const answer = await fetch(`/v1/keys/${encodeURIComponent(key)}`, { signal });
  if (answer.status === 200) return { state: await answer.json() };
  if (answer.status !== 421) return {};
  const { owner } = await answer.json();
  return { owner: owner ?? "another member" };
}

/** A member knows its own partitions' keys, and whose the others are. */
export const elsewhere = (owner) => `not on this member: ask ${owner}`;
