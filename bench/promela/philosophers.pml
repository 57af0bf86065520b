/* Dining philosophers: -DN=…, -DROUNDS=…, -DSWAPPED=1 for a last one who begins on the right.
 * A meal is five steps: take, take, eat, put, put. Eating is local, so that SPIN may reduce it.
 */
#if SWAPPED
#define FIRST (_pid == N - 1 -> 0 : _pid)
#define SECOND (_pid == N - 1 -> N - 1 : _pid + 1)
#else
#define FIRST _pid
#define SECOND ((_pid + 1) % N)
#endif

bit fork[N];

active [N] proctype philosopher()
{
	byte meals = 0;

#ifdef AS_WRITTEN
	do
	:: meals < ROUNDS ->
	   atomic { fork[FIRST] == 0 -> fork[FIRST] = 1 };
	   atomic { fork[SECOND] == 0 -> fork[SECOND] = 1 };
	   meals++;
	   fork[SECOND] = 0;
	   fork[FIRST] = 0
	:: else -> break
	od
#else
	do
	:: d_step { fork[FIRST] == 0 -> fork[FIRST] = 1 };
	   d_step { fork[SECOND] == 0 -> fork[SECOND] = 1 };
	   meals++;
	   fork[SECOND] = 0;
	   if
	   :: d_step { meals < ROUNDS -> fork[FIRST] = 0 }
	   :: d_step { meals == ROUNDS -> fork[FIRST] = 0 }; break
	   fi
	od;
end:	false
#endif
}
