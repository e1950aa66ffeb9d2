"""Lives of customers as Polar tells them: scenarios whose deliveries are signed and sent to a running app.

`scenarios.json` has the scenarios, `objects.json` what an object of each kind looks like when it is made. Both are data
in a small language, which `lifecycle` plays.

A scenario
----------
- `name`, `about`: how it is called and what happens in it;
- `needs`: the products that it speaks of: `plan`, `other_plan` (paid subscriptions), `once` (a paid one-time
  purchase), `free_plan`. Where the catalogue lacks one, the scenario is skipped;
- `from`: the scenario whose steps come before its own, and whose needs are its own too. That one is further up;
- `steps`: what happens, in order.

A step
------
- `do`: what happens;
- `access`: whether the user has access afterwards: `true`, `false`, or `"grace"`, which is access as long as a failed
  payment has grace in the project's catalogue;
- `events`: lines.

A line
------
A line is `[NAME, CHANGES, KIND, ...]`. It names an object, says what changes of it, and which events tell of it:

    ["subscription", {"status": "paused"}, "updated", "paused"]

tells `subscription.updated` and `subscription.paused` of a subscription that is paused. What comes before the colon of
a name is the kind of the object, so that there can be two of a kind: `order:renewal` is one more order. An object that
is named for the first time is made: the fields of its kind in `objects.json`, with the changes of the line. A line
without kinds changes an object and tells nothing. Changes set `modified_at` to now, unless they say it themselves.

Two names are not objects:

- `["state", {"of": "customer"}]` tells `customer.state_changed`: a customer with everything they have;
- `["grants", {"of": "subscription"}]` gives the benefits that a purchase gives as it stands, takes those that it gives
  no longer, and tells so. `"end": true` takes all; `customer` and `member` say who has them; kinds
  (`["grants", {"of": "subscription"}, "cycled"]`) tell these of the benefits that are given already, first.

Values
------
A value in `CHANGES` and in `objects.json` is JSON. A text in it that begins with one of these signs is replaced:

| Text | Becomes | When |
|---|---|---|
| `@now`, `@+30d`, `@-1h` | an instant, by days, hours, minutes (`m`) or seconds | when it is written |
| `$order.id`, `$user` | what is there: a name, then fields and places in lists | when it is written |
| `$order.total_amount - 100` | a number less another | when it is written |
| `#` | a new id | when it is written |
| `&customer`, `&self.price.id` | what is there; `self` is the object itself | when an event is made |
| `&~subscription` | the same without the lists and objects in it; `metadata` stays | when an event is made |

`$` and `&` find the objects of this life, and `user`, `email`, `organization`, `plan`, `other_plan`, `once` and
`free_plan`. What is not there is `null`; a name that no object can have is an error. A field that begins with `_` can
be referred to and is never sent.
"""
