import { percent } from "../format";
import { type Health, health, MARKS, WORDS } from "../health";

/** Mark, colour and word. */
export function HealthBadge({ of }: { of: Health }) {
  return (
    <span class={`badge ${of}`}>
      <span class="mark" aria-hidden="true">
        {MARKS[of]}
      </span>
      {WORDS[of]}
    </span>
  );
}

/** A success rate with its mark. */
export function Success({ share }: { share: number | null }) {
  const grade = health(share);
  return (
    <span class={`c-${grade}`} title={WORDS[grade]}>
      <span aria-hidden="true">{MARKS[grade]} </span>
      {percent(share)}
    </span>
  );
}
