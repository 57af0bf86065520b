/* A page under userfaultfd: -DN=… faulters, one monitor that serves for ever,
 * -DWAKE_ON_EEXIST=1 for a monitor (or a kernel) that wakes after a copy that found the page
 * already there, 0 for the lost wakeup.
 */
#define NONE 0
#define RO 1
#define RW 2
#define ME (1 << _pid)

byte pte = NONE;
bit ptl;
byte pending, taken;		/* waiters not yet read by the monitor, and read */
bit sleeping[N];

active [N] proctype faulter()
{
	do
	:: pte == RW -> break
	:: pte == RO ->					/* wp_page_copy */
	   d_step { ptl == 0 -> ptl = 1 };
	   if
	   :: pte == RO -> pte = NONE; pte = RW; ptl = 0
	   :: else -> ptl = 0
	   fi
	:: pte == NONE ->				/* handle_userfault */
	   d_step { pending = pending | ME; sleeping[_pid] = 1 };
	   if
	   :: pte == NONE -> sleeping[_pid] == 0	/* must_wait, schedule */
	   :: else
	   fi;
	   sleeping[_pid] = 0;
	   d_step { pending = pending & ~ME; taken = taken & ~ME }
	od;
end:	false
}

active proctype monitor()
{
	bit copied = 0;
	byte i;

end:	do
	:: d_step {					/* read */
		pending != 0 ->
		taken = taken | (pending & (~pending + 1));
		pending = pending & (pending - 1)
	   };
	   d_step { ptl == 0 -> ptl = 1 };		/* UFFDIO_COPY */
	   d_step { copied = (pte == NONE); pte = (copied -> RO : pte) };
	   if
	   :: d_step { !copied && !WAKE_ON_EEXIST -> ptl = 0 }
	   :: d_step { copied || WAKE_ON_EEXIST -> ptl = 0 };
	      if					/* wake_userfault */
	      :: d_step { (pending | taken) == 0 -> copied = 0 }
	      :: (pending | taken) != 0 ->
		 d_step {
			i = 0;
			do
			:: i < N ->
			   sleeping[i] = sleeping[i] & !(((pending | taken) >> i) & 1);
			   i++
			:: else -> break
			od;
			i = 0;
			pending = 0;
			taken = 0;
			copied = 0
		 }
	      fi
	   fi
	od
}
