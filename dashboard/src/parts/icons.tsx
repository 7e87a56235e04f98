// Small drawings, made of strokes.
import type { ComponentChildren } from "preact";

function Icon({ children, size = 15 }: { children: ComponentChildren; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const Copy = () => (
  <Icon size={13}>
    <rect x="9" y="9" width="12" height="12" rx="2" />
    <path d="M5 15V5a2 2 0 0 1 2-2h8" />
  </Icon>
);
export const Overview = () => (
  <Icon>
    <rect x="3" y="3" width="8" height="10" rx="1.5" />
    <rect x="13" y="3" width="8" height="6" rx="1.5" />
    <rect x="3" y="16" width="8" height="5" rx="1.5" />
    <rect x="13" y="12" width="8" height="9" rx="1.5" />
  </Icon>
);
export const Topology = () => (
  <Icon>
    <circle cx="5" cy="12" r="2.5" />
    <circle cx="19" cy="5" r="2.5" />
    <circle cx="19" cy="19" r="2.5" />
    <path d="M7.4 11 16.6 6M7.4 13l9.2 5" />
  </Icon>
);
export const Workloads = () => (
  <Icon>
    <path d="m12 3 9 5-9 5-9-5zM3 13l9 5 9-5" />
  </Icon>
);
export const Services = () => (
  <Icon>
    <circle cx="12" cy="12" r="3" />
    <path d="M12 2v4M12 18v4M2 12h4M18 12h4M5 5l3 3M16 16l3 3M19 5l-3 3M8 16l-3 3" />
  </Icon>
);
export const Routes = () => (
  <Icon>
    <path d="M4 19V9a4 4 0 0 1 4-4h12m-4-4 4 4-4 4M4 13h10a4 4 0 0 1 4 4v3m-4-4 4 4 4-4" />
  </Icon>
);
export const Tap = () => (
  <Icon>
    <path d="M3 12h4l3-8 4 16 3-8h4" />
  </Icon>
);
export const Config = () => (
  <Icon>
    <path d="M6 3h8l5 5v13H6zM14 3v5h5M9 13h7M9 17h7" />
  </Icon>
);
export const Lock = () => (
  <Icon>
    <rect x="5" y="11" width="14" height="10" rx="2" />
    <path d="M8 11V7a4 4 0 0 1 8 0v4" />
  </Icon>
);
export const Sun = () => (
  <Icon>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M19 5l-1.4 1.4M6.4 17.6 5 19" />
  </Icon>
);
export const Close = () => (
  <Icon>
    <path d="M6 6l12 12M18 6 6 18" />
  </Icon>
);
