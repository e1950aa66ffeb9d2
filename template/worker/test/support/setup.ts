/** Every test begins with all migrations applied, and without rows. */
import { beforeAll, beforeEach } from "vitest";
import { emptyStore, newStore } from "./store";

beforeAll(newStore);
beforeEach(emptyStore);
